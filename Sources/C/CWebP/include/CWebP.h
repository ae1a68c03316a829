// WebP out of memory through libwebp. Nothing is global: any number of threads may be here at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int width;
  int height;
  int has_alpha;
  int is_lossless;
} peco_webp_header;

// Reads the header alone. Returns NULL, or what is wrong.
const char *_Nullable peco_webp_read_header(const uint8_t *_Nullable bytes, size_t count,
                                            peco_webp_header *_Nonnull header);

// Decodes the rectangle (x, y, width, height), which must lie within the image, into interleaved RGB; alpha is dropped.
// Of an animation it is the first image.
// Returns NULL, or what is wrong; `truncated` says whether it is that the data ended.
const char *_Nullable peco_webp_decode(const uint8_t *_Nullable bytes, size_t count, int x, int y, int width, int height,
                                       uint8_t *_Nonnull pixels, size_t bytes_per_row, int *_Nonnull truncated);
