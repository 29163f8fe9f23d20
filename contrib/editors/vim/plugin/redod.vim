" Build what depends on a file when it is saved; errors go to the quickfix list. For Vim 8 and newer, and Neovim.
"
" Copy this file to ~/.vim/plugin/ (Neovim: ~/.config/nvim/plugin/), or add its directory to 'runtimepath'.
"   g:redod_command   what is run, with the file's name added   (default: redo-affected --build --quiet)
"   g:redod_on_save   0: only by :Redo, not at each save          (default: 1)
" When a build has ended its exit status is in g:redod_status, and the autocommands for `User RedodDone` are run.
" :Redo builds for the current file. Names in messages are taken relative to the project's top, where .redo is.

if exists('g:loaded_redod')
    finish
endif
let g:loaded_redod = 1

let s:job = {'lines': [], 'id': 0, 'again': ''}

function! s:top(file) abort
    let l:found = finddir('.redo', fnamemodify(a:file, ':h') . ';')
    return empty(l:found) ? fnamemodify(a:file, ':h') : fnamemodify(l:found, ':p:h:h')
endfunction

function! s:ended(status) abort
    let l:lines = filter(copy(s:job.lines), 'v:val !=# ""')
    call setqflist([], ' ', {'title': 'redo', 'lines': l:lines, 'efm': &g:errorformat})
    if a:status != 0
        echohl ErrorMsg | echomsg 'redo: failed; see :copen' | echohl None
    else
        echo 'redo: done'
    endif
    let s:job.id = 0
    let g:redod_status = a:status
    if exists('#User#RedodDone')
        doautocmd <nomodeline> User RedodDone
    endif
    if s:job.again !=# ''
        let l:file = s:job.again
        let s:job.again = ''
        call s:build(l:file)
    endif
endfunction

function! s:build(file) abort
    if s:job.id isnot 0
        " The one that runs may have read the older text.
        let s:job.again = a:file
        return
    endif
    let l:command = get(g:, 'redod_command', ['redo-affected', '--build', '--quiet']) + ['--', a:file]
    let l:top = s:top(a:file)
    " Names in messages are relative to where the build runs, not to where the editor is: 'errorformat' knows such lines.
    let s:job.lines = ["make: Entering directory '" . l:top . "'"]
    if has('nvim')
        let s:job.id = jobstart(l:command, {
            \ 'cwd': l:top,
            \ 'on_stdout': {id, data, name -> extend(s:job.lines, data)},
            \ 'on_stderr': {id, data, name -> extend(s:job.lines, data)},
            \ 'stdout_buffered': v:true, 'stderr_buffered': v:true,
            \ 'on_exit': {id, status, name -> s:ended(status)}})
        return
    endif
    let s:job.status = -1
    let s:job.closed = 0
    let s:job.id = job_start(l:command, {
        \ 'cwd': l:top, 'in_io': 'null', 'err_io': 'out',
        \ 'out_cb': {channel, line -> add(s:job.lines, line)},
        \ 'close_cb': {channel -> s:half('closed', 1)},
        \ 'exit_cb': {job, status -> s:half('status', status)}})
endfunction

" Vim tells the end of the output and the exit status in either order.
function! s:half(what, value) abort
    let s:job[a:what] = a:value
    if s:job.closed && s:job.status >= 0
        call s:ended(s:job.status)
    endif
endfunction

command! Redo call s:build(expand('%:p'))

augroup redod
    autocmd!
    autocmd BufWritePost * if get(g:, 'redod_on_save', 1) && &buftype ==# '' | call s:build(expand('<afile>:p')) | endif
augroup END
