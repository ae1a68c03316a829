#include "CWebP.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

static const char *reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OK: return NULL;
    case VP8_STATUS_OUT_OF_MEMORY: return "out of memory";
    case VP8_STATUS_BITSTREAM_ERROR: return "the data is not what the format allows";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "it uses a feature that libwebp does not know";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the data ends before the image does";
    default: return "libwebp refuses it";
  }
}

const char *peco_webp_read_header(const uint8_t *bytes, size_t count, peco_webp_header *header) {
  WebPBitstreamFeatures features;
  VP8StatusCode status = WebPGetFeatures(bytes, count, &features);
  if (status != VP8_STATUS_OK) return reason(status);
  header->width = features.width;
  header->height = features.height;
  header->has_alpha = features.has_alpha;
  header->is_lossless = features.format == 2;
  header->is_animated = features.has_animation;
  return NULL;
}

const char *peco_webp_decode(const uint8_t *bytes, size_t count, int x, int y, int width, int height, uint8_t *pixels,
                             size_t bytes_per_row, int *truncated) {
  *truncated = 0;
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return "this libwebp is not the one that peco was built for";
  VP8StatusCode status = WebPGetFeatures(bytes, count, &config.input);
  if (status != VP8_STATUS_OK) {
    *truncated = status == VP8_STATUS_NOT_ENOUGH_DATA;
    return reason(status);
  }
  int full_width = config.input.width, full_height = config.input.height;
  if (x < 0 || y < 0 || width <= 0 || height <= 0 || x > full_width - width || y > full_height - height) {
    return "the region is outside the image";
  }
  // Chroma is upsampled from its neighbors, and a cropped decoder takes its own edge for the image's: a margin keeps the
  // pixels those of the whole image. It crops at even places alone.
  const int margin = 8;
  int left = x > margin ? (x - margin) & ~1 : 0, top = y > margin ? (y - margin) & ~1 : 0;
  int right = x + width > full_width - margin ? full_width : x + width + margin;
  int bottom = y + height > full_height - margin ? full_height : y + height + margin;
  int span = right - left, lines = bottom - top;
  int direct = span == width && lines == height;
  uint8_t *scratch = NULL;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.stride = direct ? (int)bytes_per_row : span * 3;
  config.output.u.RGBA.size = (size_t)config.output.u.RGBA.stride * (size_t)lines;
  if (!direct) {
    scratch = malloc(config.output.u.RGBA.size);
    if (scratch == NULL) return "out of memory";
  }
  config.output.u.RGBA.rgba = direct ? pixels : scratch;
  if (span != full_width || lines != full_height) {
    config.options.use_cropping = 1;
    config.options.crop_left = left;
    config.options.crop_top = top;
    config.options.crop_width = span;
    config.options.crop_height = lines;
  }
  status = WebPDecode(bytes, count, &config);
  if (status == VP8_STATUS_OK && !direct) {
    for (int line = 0; line < height; line++) {
      memcpy(pixels + (size_t)line * bytes_per_row,
             scratch + ((size_t)(y - top + line) * (size_t)span + (size_t)(x - left)) * 3, (size_t)width * 3);
    }
  }
  WebPFreeDecBuffer(&config.output);
  free(scratch);
  *truncated = status == VP8_STATUS_NOT_ENOUGH_DATA || status == VP8_STATUS_SUSPENDED;
  return reason(status);
}
