// PNG in and out of memory through libpng. Its errors leave by longjmp; they stay on this side, and the
// caller gets a return value and a message. Nothing is global.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PECO_PNG_MESSAGE 256

typedef struct {
  int warnings;
  int truncated;  // the data ended before the image did: an error in PNG
  char message[PECO_PNG_MESSAGE];  // the error, or the first warning
} peco_png_report;

// Decodes the rectangle (x, y, width, height) of an image of image_width × image_height, which must be what
// the header says, into interleaved RGB: gray and palettes spread out, 16 bits cut to the upper 8, alpha
// dropped. Returns 0, or -1 with the reason in the report.
int peco_png_decode(const uint8_t *bytes, size_t count, int image_width, int image_height, int x, int y,
                    int width, int height, uint8_t *pixels, size_t bytes_per_row, peco_png_report *report);

// Encodes interleaved RGB. On success *bytes is the caller's, to be given back by peco_png_free.
int peco_png_encode(const uint8_t *pixels, int width, int height, size_t bytes_per_row, uint8_t **bytes,
                    size_t *count, peco_png_report *report);
void peco_png_free(uint8_t *bytes);

static inline const char *peco_png_message(const peco_png_report *report) { return report->message; }
