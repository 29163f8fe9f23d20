# The days of one station. Made anew whenever the stations are, and the same unless this one's data has changed.
redo-ifchange stations
sort "stations/${2##*/}.csv" >"$3"
redo-stamp <"$3"
