"""Readers of published datasets in their original folders and files, one module each.

A reader yields a sample per face, in the project's pixels and angles; the module's docstring gives the dataset's own
conventions. Labels are read without decoding an image (see `images.UnreadSample`). A sample's attributes hold its
`split` and its `subsets`, names joined by spaces.
"""
