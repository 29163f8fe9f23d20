# One file for each station, in a directory that is one target: which there are, the data says.
redo-ifchange measurements.csv
mkdir "$3"
awk -F, -v into="$3" 'NR > 1 { print $2 "," $3 > (into "/" $1 ".csv") }' measurements.csv
