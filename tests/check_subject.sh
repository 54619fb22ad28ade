#!/bin/sh
# Fail when the subject of a commit message, the first line of the file $1, is empty or longer than 72 characters.
subject=$(head -n 1 "$1")
length=$(printf %s "$subject" | LC_ALL=C.UTF-8 wc -m)
if [ "$length" -eq 0 ] || [ "$length" -gt 72 ]; then
  echo "the subject has $length characters, not 1 to 72: $subject" >&2
  exit 1
fi
