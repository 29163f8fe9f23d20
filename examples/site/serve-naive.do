# Hangs, by the rule: lighttpd has inherited the completion pipe. redo says so after a second.
PATH=$PATH:/usr/sbin
redo-ifchange lighttpd.conf
lighttpd -D -f lighttpd.conf &
