"""The usage text of every command, as `NAME --help` prints it. Man pages and completions are made from it (`manual/`).

The clients have copies of two of them: redod and redo-detach work without a server.
"""

_BUILD = """\
usage: redo [OPTION]... [TARGET]...
Run the scripts of the targets (default: all), and of whatever they ask for that is out of date.

  -j N, --jobs=N     run at most N jobs at a time; -j1: strictly one after the other (default: as many as CPUs)
  --load=N           start no job beside another while N processes or more run on this machine
  --background-priority
                     let other builds go first, as under nice(1)
  -k, --keep-going   go on with other targets when one has failed
  -x, --xtrace       sh prints the commands of the named targets' scripts; -xx: of all scripts
  -v, --verbose      sh prints the lines of the named targets' scripts; -vv: of all scripts
  -d, --debug        say why each target is built
  -w, --watch        build, then build again whenever something changes, as redo-ifchange would, until Ctrl-C
  --on-change=finish|restart
                     with --watch, a change while a build runs: finish it first (default), or begin again at once
  --events=json      tell what happens on standard output, a line of JSON for each event (docs/events.md)
  --shuffle          build in random order, to find missing dependencies
  --adopt            for when .redo was lost: build nothing, but take existing files that a dofile matches (all here and
                     below, or those named) for redo's own, out of date; what only default.do matches has to be named
  --no-daemon        serve this command by an instance of its own, which ends with it; REDOD=off does so for any command
  --background=POLICY  of processes that a script leaves behind: wait for them (default), release, or kill
  --timeout=SECONDS  end a script that takes longer, and fail its target; waiting for other targets does not count
  --no-details       do not show what scripts print, only which of them run
  --no-status        on a terminal: no status line at the bottom
  --no-pretty        show starts and ends as @@REDO:do:PID:TIME@@ NAME and @@REDO:done:PID:TIME@@ STATUS NAME
  --no-color, --color
                     never use colours; use them always (default: on a terminal, unless NO_COLOR is set)
  --debug-locks      say when this build waits for another one
  --debug-pids       say the pid of each script
  --no-log           scripts print straight to this command's standard error; with -j1 they have its standard input, too
  --console          give the terminal to the scripts of the targets, one at a time (for menus, passwords, editors)
  --version, --help  say which redo this is; show this

The output of scripts goes to standard error; a failed target ends the command with status 1.
"""

_LIST = """\
usage: {0} [-r] [-0] [NAME]...
List the known {1} among these files and what they depend on (default: of this workspace). Builds nothing.

  -r, --recursive    also what that depends on in turn
  -0, --null         end each name with a zero byte instead of a newline
"""

USAGE: dict[bytes, str] = {
    b"redo": _BUILD,
    b"redo-ifchange": """\
usage: redo-ifchange [TARGET]...
In a script: depend on these files, after building those that are out of date.
Outside of one: build what is out of date (default: all).
""",
    b"redo-ifcreate": """\
usage: redo-ifcreate FILE...
In a script: build again when one of these files, which do not exist, is created.
""",
    b"redo-always": """\
usage: redo-always
In a script: build again in every session.
""",
    b"redo-stamp": """\
usage: redo-stamp < DATA
In a script: when the data is as it was in the last build, the target did not change for those who depend on it.
""",
    b"redo-log": """\
usage: redo-log [OPTION]... TARGET...
Show what the last builds of the targets printed.

  -r, --recursive    also what they asked for and what was built then
  -u, --unchanged    with -r, also what was up to date then
  -f, --follow       show a running build to its end
  -t, --timestamps   say when each script was started and ended, how it ended and how long it took
  -d, --debug        say why each was built, where that was asked for then
  --no-details       do not show what scripts printed, only which of them ran
  --no-status --no-pretty --color --no-color --debug-locks --debug-pids
                     as for redo
""",
    b"redo-service": """\
usage: redo-service [OPTION]... COMMAND [ARGUMENT]...
In a script: the target is this running process. The server looks after it; the script goes on when it is ready.

  --ready-fd N        it is ready when it has written a line to descriptor N
  --ready-port P      when it listens on TCP port P
  --ready-line REGEX  when it has printed a line in which REGEX (Python's) is found
                      without any: when it has run for 0.2 s
  --ready-timeout S   give up after S seconds (default: 60)
  --stop-signal NAME  what ends it (default: TERM); after 5 s comes KILL

The command must stay in the foreground. What it prints goes to its own log, which redo-log shows. The target is out of
date when the process has ended; when its script runs again, the old process is stopped before the new one is started.
""",
    b"redo-recheck": """\
usage: redo-recheck
In a script: look at everything again in this session, as a new session would.
""",
    b"redo-whichdo": """\
usage: redo-whichdo TARGET
List the names where the target's script is looked for, up to the one that exists. Status 1 if none does.
""",
    b"redo-targets": _LIST.format("redo-targets", "targets"),
    b"redo-sources": _LIST.format("redo-sources", "sources"),
    b"redo-ood": _LIST.format("redo-ood", "targets that are out of date"),
    b"redo-affected": """\
usage: redo-affected [OPTION]... FILE...
List the known targets that depend on these files, or on their absence, nearest first.

  -0, --null         end each name with a zero byte instead of a newline
  -b, --build        build instead, for save hooks: of the goals that depend on these files, what is out of date
  -q, --quiet        with --build: show what scripts print, and not which of them run

Goals are the targets that `goals` in redod.toml names, that are being watched (redo --watch), or that a redo-ifchange
on a command line has asked for; a plain redo makes none.
""",
    b"redo-why": """\
usage: redo-why TARGET...
Say why these targets are out of date, or why they were last built, and who wanted them where they are missing.
""",
    b"redo-dot": """\
usage: redo-dot [TARGET]...
Print the graph below these targets (default: of this workspace) for Graphviz, as in: redo-dot all | dot -Tsvg >all.svg
What is out of date is red, and orange if that depends on checksums; what must not exist is dotted.
""",
    b"redod": """\
usage: redod COMMAND
  run              serve in the foreground, log to standard error
  status [--json]  what the server is doing
  stop             end the server and its services; --keep-services: only the server
  doctor           what keeps the server from knowing of changes, and what to do
  verify           look at every file that counts as unchanged; status 1: one has changed
  subscribe        print what happens in all sessions, a line of JSON for each event
  services         the running processes that targets are
  service          stop|restart TARGET
  forget           start over in this workspace: everything is out of date
  gc               drop the logs of this workspace's targets that are gone
  socket           print the path of the server's socket
  units            systemd user units for this install
The redo commands start a server by themselves. redod --version prints the version.
""",
    b"redo-detach": """\
usage: redo-detach [--log FILE] [--pidfile FILE] COMMAND [ARGUMENT]...
Start COMMAND so that it outlives the script that calls this and does not hold its target: in a session of its
own, its input and output /dev/null, and nothing else open. Returns once it runs, and fails if it cannot run.

  --log FILE      append its output to FILE
  --pidfile FILE  write its pid, which is also the number of its process group, to FILE
""",
}
