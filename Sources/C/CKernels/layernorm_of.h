// The loops of layernorm.c, for one number format (each_format.h) of what is normalized; its input is float32.

PECO_CLONES void PECO_OF(peco_layer_norm)(
    PECO_ELEMENT *restrict y, float *restrict mean, float *restrict deviation_inverse, const float *restrict x,
    const float *restrict weight, const float *restrict bias, float epsilon, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, y += n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    float m = sum / (float)n;
    float squares = 0;
    for (size_t i = 0; i < n; i++) squares += (x[i] - m) * (x[i] - m);
    float s = 1.0f / sqrtf(squares / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) y[i] = PECO_STORE((x[i] - m) * s * weight[i] + bias[i]);
    mean[r] = m;
    deviation_inverse[r] = s;
  }
}

PECO_CLONES void PECO_OF(peco_layer_norm_gradient)(
    float *restrict dx, float *restrict dweight, float *restrict dbias, const PECO_ELEMENT *restrict dy,
    const float *restrict x, const float *restrict mean, const float *restrict deviation_inverse,
    const float *restrict weight, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; r++, x += n, dy += n, dx += n) {
    float m = mean[r], s = deviation_inverse[r];
    float sum = 0, product = 0;
    for (size_t i = 0; i < n; i++) {
      float normal = (x[i] - m) * s;
      float g = PECO_LOAD(dy[i]) * weight[i];
      sum += g;
      product += g * normal;
      dweight[i] += PECO_LOAD(dy[i]) * normal;
      dbias[i] += PECO_LOAD(dy[i]);
    }
    sum /= (float)n;
    product /= (float)n;
    for (size_t i = 0; i < n; i++) dx[i] = s * (PECO_LOAD(dy[i]) * weight[i] - sum - (x[i] - m) * s * product);
  }
}
