#!/usr/bin/env bash
# A subshell that closes all descriptors but 0-2. dash cannot name those above 9, bash can.
set -e
PATH=$PATH:/usr/sbin
redo-ifchange lighttpd.conf
(
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        ((fd > 2)) && exec {fd}>&-
    done
    exec lighttpd -D -f lighttpd.conf >/dev/null 2>&1
) &
