/// What a rank gathers during a step: named sums with their weights, and named histograms.
///
/// The names are fixed when it is made, so that all ranks bring the same numbers to the reduction.
public struct MetricSums: Sendable {
  private let names: [String]
  private let histograms: [(name: String, count: Int)]
  /// Sum and weight of each name, then the histograms one after another.
  private var values: [Double]

  /// Sums that are zero.
  ///
  /// - Parameters:
  ///   - names: Of the metrics that are means.
  ///   - histograms: Names of the histograms, and how many bins each has.
  public init(_ names: [String], histograms: [(name: String, count: Int)] = []) {
    self.names = names
    self.histograms = histograms
    values = [Double](repeating: 0, count: 2 * names.count + histograms.reduce(0) { $0 + $1.count })
  }

  /// Adds to a metric: `sum` over `weight` of what it is a mean over.
  public mutating func add(_ name: String, sum: Double, weight: Double) {
    let place = 2 * index(of: name)
    values[place] += sum
    values[place + 1] += weight
  }

  /// Adds the mean over `weight` of what counts to a metric.
  public mutating func add(_ name: String, mean: Double, weight: Double) {
    add(name, sum: weight * mean, weight: weight)
  }

  /// Counts values in a histogram.
  public mutating func count(_ bins: some Sequence<Int32>, in name: String) {
    let start = range(of: name).lowerBound
    for bin in bins { values[start + Int(bin)] += 1 }
  }

  /// The sum of a metric.
  public func sum(_ name: String) -> Double { values[2 * index(of: name)] }

  /// The weight of a metric.
  public func weight(_ name: String) -> Double { values[2 * index(of: name) + 1] }

  /// The mean of a metric; nil where nothing was added.
  public func mean(_ name: String) -> Double? {
    let weight = weight(name)
    return weight > 0 ? sum(name) / weight : nil
  }

  /// The counts of a histogram.
  public func histogram(_ name: String) -> ArraySlice<Double> { values[range(of: name)] }

  /// All numbers, for a reduction; the sums start anew.
  mutating func take() -> [Double] {
    defer { values = [Double](repeating: 0, count: values.count) }
    return values
  }

  /// The same metrics with the numbers of a reduction.
  func with(_ reduced: some Collection<Double>) -> MetricSums {
    precondition(reduced.count == values.count, "\(reduced.count) numbers for \(values.count)")
    var result = self
    result.values = Array(reduced)
    return result
  }

  private func index(of name: String) -> Int {
    guard let index = names.firstIndex(of: name) else {
      preconditionFailure("no metric \(name) among \(names)")
    }
    return index
  }

  private func range(of name: String) -> Range<Int> {
    var start = 2 * names.count
    for histogram in histograms {
      if histogram.name == name { return start..<start + histogram.count }
      start += histogram.count
    }
    preconditionFailure("no histogram \(name) among \(histograms.map(\.name))")
  }
}
