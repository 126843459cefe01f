"""Readers of published datasets in the folders and files that their authors distribute, one module each.

A reader gives a sample per face, in the contract's pixels and angles whatever the dataset's own; its module's first
lines say which conventions it meets. Labels are read without decoding an image (see `images.UnreadSample`). What a
protocol divides is in the samples' attributes: `split`, and `subsets`, names joined by spaces.
"""
