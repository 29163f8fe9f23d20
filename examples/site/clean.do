rm -f html/*.html lighttpd.conf lighttpd.log lighttpd.pid
