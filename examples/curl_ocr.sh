#!/bin/sh
# Read the text in a picture with curl alone: sh examples/curl_ocr.sh PICTURE [URL]
#
# The body is a JSON document, then the tensor: for BYTES each element is its length (4 bytes, little-endian), then its
# bytes. The header says where the JSON ends.
set -eu
picture=$1
url=${2:-http://127.0.0.1:8000}

size=$(wc -c < "$picture")
length() { printf '\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
json='{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
  "parameters": {"binary_data_size": '$((size + 4))'}}], "outputs": [{"name": "text"}]}'

{ printf '%s' "$json"; printf "$(length "$size")"; cat "$picture"; } |
  curl --silent --fail-with-body "$url/v2/models/ocr/infer" \
    --header "Inference-Header-Content-Length: ${#json}" --data-binary @-
echo
