"""WyckoffAUGen: explicit likelihoods on asymmetric units, one atom after the other (Chang et al.)."""
