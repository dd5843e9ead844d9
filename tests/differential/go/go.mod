module gatelet/differential

go 1.24
