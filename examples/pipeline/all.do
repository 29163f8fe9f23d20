redo-ifchange report.txt charts
