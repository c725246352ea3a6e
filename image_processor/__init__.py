"""SKUlight's image processing: a catalogue of image URLs in, compressed images and the same catalogue out."""
