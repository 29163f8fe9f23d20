# Starts it and lets it go. Nothing stops it but you: kill $(cat lighttpd.pid)
PATH=$PATH:/usr/sbin
redo-ifchange lighttpd.conf
redo-detach --pidfile lighttpd.pid --log lighttpd.log lighttpd -D -f lighttpd.conf
