redo-ifchange port
cat <<CONF
server.document-root = "$PWD/html"
server.bind = "127.0.0.1"
server.port = $(cat port)
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html; charset=utf-8")
server.stat-cache-engine = "disable"
static-file.exclude-extensions = (".do")
CONF
