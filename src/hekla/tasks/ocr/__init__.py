"""Reading text in pictures: the stages around a DB text detector and a CTC text recogniser (PP-OCR).

image.decode -> ocr.detect.preprocess -> [detector] -> ocr.detect.postprocess -> ocr.crop -> for each crop:
ocr.recognise.preprocess -> [recogniser] -> ocr.recognise.postprocess; then ocr.join.

What is computed, and every default, follows RapidOCR 3.10, with NumPy and Pillow in the place of OpenCV, Shapely and
Pyclipper; where it differs, the docstring says so.
"""
