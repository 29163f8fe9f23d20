redo-ifchange sources page.template
list=$(while read -r note; do
    redo-ifchange "$note"
    read -r title <"$note"
    printf '<li><a href="%s.html">%s</a></li>\n' "${note%.txt}" "$title"
done <sources)
awk -v list="$list" '{ gsub(/{title}/, "Notes"); gsub(/{body}/, "<ul>" list "</ul>"); gsub(/{words}/, "no"); print }' page.template
