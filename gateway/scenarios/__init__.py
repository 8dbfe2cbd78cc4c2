"""Days that both the simulator plays and others reckon with: data by rule and seed, of no site in particular."""
