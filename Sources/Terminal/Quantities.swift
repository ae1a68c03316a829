import Foundation

/// Quantities for people.
public enum Quantity {
  /// A stretch of time in its two largest units: `3 min 20 s`.
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let whole = Int(seconds.rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch whole {
    case ..<60: return "\(whole) s"
    case ..<3600: return "\(whole / 60) min \(two(whole % 60)) s"
    case ..<86400: return "\(whole / 3600) h \(two(whole % 3600 / 60)) min"
    default: return "\(whole / 86400) d \(two(whole % 86400 / 3600)) h"
    }
  }

  /// A number of bytes with two or three digits: `1.4 GB`.
  public static func bytes(_ count: Int) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"]
    var value = Double(count)
    var unit = 0
    while value >= 999.5, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(count) B" : String(format: value < 9.95 ? "%.1f %@" : "%.0f %@", value, units[unit])
  }
}
