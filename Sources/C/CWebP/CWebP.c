#include "CWebP.h"

#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

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
  return NULL;
}

// The first image of an animation, on the whole canvas; what it does not cover is black, as transparent pixels are.
static const char *decode_first(const uint8_t *bytes, size_t count, int x, int y, int width, int height,
                                uint8_t *pixels, size_t bytes_per_row, int *truncated) {
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) return "this libwebp is not the one that peco was built for";
  options.color_mode = MODE_RGBA;
  WebPData data = {.bytes = bytes, .size = count};
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
  if (decoder == NULL) {
    // A demuxer that keeps what there is tells an early end from damage.
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPDemuxDelete(WebPDemuxPartial(&data, &state));
    *truncated = state == WEBP_DEMUX_PARSING_HEADER || state == WEBP_DEMUX_PARSED_HEADER;
    return *truncated ? reason(VP8_STATUS_NOT_ENOUGH_DATA) : "its animation cannot be read";
  }
  WebPAnimInfo info;
  uint8_t *canvas = NULL;
  int time = 0;
  const char *problem = NULL;
  if (!WebPAnimDecoderGetInfo(decoder, &info) || !WebPAnimDecoderGetNext(decoder, &canvas, &time)) {
    problem = "the first image of its animation cannot be read";
  } else if (x < 0 || y < 0 || width <= 0 || height <= 0 || x > (int)info.canvas_width - width ||
             y > (int)info.canvas_height - height) {
    problem = "the region is outside the image";
  } else {
    for (int line = 0; line < height; line++) {
      const uint8_t *from = canvas + ((size_t)(y + line) * info.canvas_width + (size_t)x) * 4;
      uint8_t *to = pixels + (size_t)line * bytes_per_row;
      for (int column = 0; column < width; column++) memcpy(to + 3 * column, from + 4 * column, 3);
    }
  }
  WebPAnimDecoderDelete(decoder);
  return problem;
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
  if (config.input.has_animation) {
    return decode_first(bytes, count, x, y, width, height, pixels, bytes_per_row, truncated);
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
