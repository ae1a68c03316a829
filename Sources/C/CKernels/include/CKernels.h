// The vector loops of PeCo: plain C, built once per instruction set and picked when the program starts,
// so that one binary serves a mixed cluster. Every pointer is to float32 unless it says otherwise; no
// function allocates, blocks or spawns threads, and buffers may not overlap unless the comment allows it.
#pragma once
#include "activations.h"
#include "batchnorm.h"
#include "bfloat16.h"
#include "blur.h"
#include "channels.h"
#include "differences.h"
#include "dispatch.h"
#include "elementwise.h"
#include "gelu.h"
#include "gumbel.h"
#include "layernorm.h"
#include "maxpool.h"
#include "optimizer.h"
#include "images.h"
#include "peak.h"
#include "processors.h"
#include "resampling.h"
#include "rows.h"
#include "scores.h"
#include "softmax.h"
