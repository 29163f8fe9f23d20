# The target is the running web server: stopped and started again when its configuration changes, but not for a page.
PATH=$PATH:/usr/sbin
redo-ifchange lighttpd.conf port
redo-service --ready-port "$(cat port)" lighttpd -D -f lighttpd.conf
