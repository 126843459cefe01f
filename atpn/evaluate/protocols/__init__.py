"""Published evaluation protocols on the datasets' original files, with the published results."""
