redo-ifchange index.html pages
