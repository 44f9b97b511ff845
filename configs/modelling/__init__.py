"""Models the objects of the sample image sets and takes their pictures: shapes, paints, one file an object."""
