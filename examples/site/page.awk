# Gemtext to HTML: headings, links, lists, quotes, preformatted text; every other line is a paragraph.

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

function rest(from) {
    text = substr($0, from)
    sub(/^[ \t]+/, "", text)
    return escape(text)
}

function list(wanted) {
    if (wanted && !listing) print "<ul>"
    if (!wanted && listing) print "</ul>"
    listing = wanted
}

BEGIN {
    print "<!doctype html>\n<meta charset=utf-8>\n<nav>"
    count = split(pages, names, " ")
    for (i = 1; i <= count; i++) print "<a href=\"" names[i] ".html\">" names[i] "</a>"
    print "</nav>"
}

/^```/ {
    list(0)
    print (verbatim = !verbatim) ? "<pre>" : "</pre>"
    next
}

verbatim { print escape($0); next }

/^\* / { list(1); print "<li>" rest(3) "</li>"; next }

{ list(0) }

/^### / { print "<h3>" rest(5) "</h3>"; next }
/^## / { print "<h2>" rest(4) "</h2>"; next }
/^# / { print "<h1>" rest(3) "</h1>"; next }
/^>/ { print "<blockquote>" rest(2) "</blockquote>"; next }

/^=>/ {
    line = rest(3)
    url = line
    sub(/[ \t].*/, "", url)
    sub(/^[^ \t]*[ \t]*/, "", line)
    print "<p><a href=\"" url "\">" (line ? line : url) "</a></p>"
    next
}

NF { print "<p>" escape($0) "</p>" }

END { list(0) }
