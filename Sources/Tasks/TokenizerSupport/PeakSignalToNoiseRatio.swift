import Foundation

/// The peak signal-to-noise ratio in decibels of a mean squared error over pixels from −1 to 1, whose peak is 2.
package func peakSignalToNoiseRatio(meanSquaredError: Double) -> Double {
  10 * log10(4 / max(meanSquaredError, 1e-12))
}
