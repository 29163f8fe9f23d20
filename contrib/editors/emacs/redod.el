;;; redod.el --- Build what depends on a file when it is saved  -*- lexical-binding: t -*-

;; Version: 0.1
;; Package-Requires: ((emacs "26.1"))
;; Keywords: tools, processes

;;; Commentary:

;; With `redod-mode' in a buffer, saving it builds what depends on its file (redo-affected --build) in the background, in
;; a buffer of `compilation-mode': `next-error' goes to the errors.  To have it everywhere:
;;
;;   (load "/path/to/redod.el")
;;   (add-hook 'find-file-hook #'redod-mode)
;;
;; M-x redod-build builds for the current file at once.

;;; Code:

(require 'compile)

(defgroup redod nil
  "Builds by redo."
  :group 'tools)

(defcustom redod-command '("redo-affected" "--build" "--quiet")
  "The command and its options; the file's name is added."
  :type '(repeat string))

(defcustom redod-show-on-failure t
  "Whether the buffer of a build that failed is shown."
  :type 'boolean)

(defvar redod--again nil
  "A file that was saved while a build ran.")

(defun redod--process ()
  "The build that runs, or nil."
  (let ((buffer (get-buffer "*redo*")))
    (and buffer (get-buffer-process buffer))))

(defun redod--top (file)
  "The top of the project that holds FILE: where .redo is."
  (or (locate-dominating-file file ".redo") (file-name-directory file)))

(defun redod--ended (buffer message)
  "A build in BUFFER has ended with MESSAGE."
  (when (and redod-show-on-failure (not (string-prefix-p "finished" message)))
    (display-buffer buffer))
  (when redod--again
    (let ((file redod--again))
      (setq redod--again nil)
      (run-at-time 0 nil #'redod--build file))))

(defun redod--build (file)
  "Build what depends on FILE."
  (if (redod--process)
      ;; The one that runs may have read the older text.
      (setq redod--again file)
    (let* ((default-directory (redod--top file))
           (words (append redod-command (list "--" (expand-file-name file))))
           (display-buffer-overriding-action '(display-buffer-no-window (allow-no-window . t)))
           (compilation-save-buffers-predicate #'ignore)
           (buffer (compilation-start (mapconcat #'shell-quote-argument words " ") nil (lambda (_) "*redo*"))))
      (with-current-buffer buffer
        (add-hook 'compilation-finish-functions #'redod--ended nil t)))))

;;;###autoload
(defun redod-build ()
  "Build what depends on the file of this buffer."
  (interactive)
  (unless buffer-file-name
    (user-error "This buffer has no file"))
  (redod--build buffer-file-name))

(defun redod--after-save ()
  "The buffer was saved."
  (redod--build buffer-file-name))

;;;###autoload
(define-minor-mode redod-mode
  "Build what depends on this file each time it is saved."
  :lighter " redo"
  (if (and redod-mode buffer-file-name)
      (add-hook 'after-save-hook #'redod--after-save nil t)
    (remove-hook 'after-save-hook #'redod--after-save t)))

(provide 'redod)
;;; redod.el ends here
