/// Where modules and arrows go in a drawing: rows by what needs what, in each row an order with few crossings, and
/// places near to what a box is joined with (Sugiyama, Tagawa and Toda, 1981).
struct ModuleLayout {
  struct Place {
    var row: Int
    var center: Double
    let width: Double
  }
  struct Edge {
    /// From the upper module down, a point a row.
    var points: [(row: Int, x: Double)]
  }

  private(set) var places: [String: Place] = [:]
  private(set) var edges: [Edge] = []
  private(set) var rows = 0
  private(set) var width = 0.0
  private var rowsOfFloors: [Int: ClosedRange<Int>] = [:]

  func rows(of floor: Int) -> ClosedRange<Int> { rowsOfFloors[floor] ?? 0...0 }

  /// A box, or the place where an arrow passes a row.
  private struct Node {
    let row: Int
    let width: Double
    var center = 0.0
    var neighbors: [Int] = []
  }

  init(_ graph: ModuleGraph) {
    let names = Set(graph.modules.map(\.name))
    var needs: [String: [String]] = [:]
    var below: [String: Set<String>] = [:]
    var row: [String: Int] = [:]
    // A floor's lowest row is above all of the floor before; on it, a module is above what it needs.
    for floor in graph.floors {
      let first = rows
      for module in graph.modules where module.floor == floor.number {
        let all = module.dependencies.intersection(names)
        below[module.name] = all.reduce(into: all) { $0.formUnion(below[$1] ?? []) }
        needs[module.name] = all.filter { one in !all.contains { below[$0]?.contains(one) == true } }.sorted()
        row[module.name] = max(first, 1 + (all.compactMap { row[$0] }.max() ?? -1))
        rows = max(rows, row[module.name]! + 1)
      }
      rowsOfFloors[floor.number] = first...max(first, rows - 1)
    }

    var nodes: [Node] = []
    var index: [String: Int] = [:]
    for module in graph.modules {
      index[module.name] = nodes.count
      nodes.append(Node(row: row[module.name] ?? 0, width: 26 + 7.9 * Double(max(module.name.count, 7))))
    }
    var chains: [[Int]] = []
    for module in graph.modules {
      for lower in needs[module.name] ?? [] {
        var chain = [index[module.name]!]
        for passed in ((row[lower]! + 1)..<row[module.name]!).reversed() {
          chain.append(nodes.count)
          nodes.append(Node(row: passed, width: 8))
        }
        chain.append(index[lower]!)
        for (one, other) in zip(chain, chain.dropFirst()) {
          nodes[one].neighbors.append(other)
          nodes[other].neighbors.append(one)
        }
        chains.append(chain)
      }
    }

    let order = Self.order(nodes, rows: rows)
    Self.place(&nodes, order: order)
    let edge = nodes.map { $0.center - $0.width / 2 }.min() ?? 0
    for node in nodes.indices { nodes[node].center -= edge }
    width = nodes.map { $0.center + $0.width / 2 }.max() ?? 0
    for module in graph.modules {
      let node = nodes[index[module.name]!]
      places[module.name] = Place(row: node.row, center: node.center, width: node.width)
    }
    edges = chains.map { chain in Edge(points: Self.points(chain, nodes)) }
  }

  /// The points of an arrow; where it leaves and enters a box, it does so beside the box's other arrows.
  private static func points(_ chain: [Int], _ nodes: [Node]) -> [(row: Int, x: Double)] {
    func port(_ box: Int, toward next: Int) -> Double {
      let node = nodes[box]
      let isBelow = nodes[next].row < node.row
      let same = node.neighbors.filter { (nodes[$0].row < node.row) == isBelow }
        .sorted { (nodes[$0].center, $0) < (nodes[$1].center, $1) }
      let place = Double(same.firstIndex(of: next) ?? 0) - Double(same.count - 1) / 2
      let step = min(14, (node.width - 24) / Double(max(1, same.count - 1)))
      return node.center + place * step
    }
    return chain.enumerated().map { at, node in
      let x =
        at == 0
        ? port(node, toward: chain[1])
        : at == chain.count - 1 ? port(node, toward: chain[at - 1]) : nodes[node].center
      return (nodes[node].row, x)
    }
  }

  /// The nodes of each row from left to right; the order with the fewest crossings of those tried.
  private static func order(_ nodes: [Node], rows: Int) -> [[Int]] {
    var order = (0..<rows).map { row in nodes.indices.filter { nodes[$0].row == row } }
    var best = order
    var fewest = Int.max
    for sweep in 0..<48 {
      let downward = sweep.isMultiple(of: 2)
      for row in downward ? Array((0..<rows).reversed()) : Array(0..<rows) {
        var position: [Int: Double] = [:]
        for line in order {
          for (at, node) in line.enumerated() { position[node] = (Double(at) + 0.5) / Double(line.count) }
        }
        let weight = order[row].map { node -> (Double, Int) in
          let joined = nodes[node].neighbors.filter { (nodes[$0].row > row) == downward }
          let mean = joined.compactMap { position[$0] }.reduce(0, +) / Double(max(1, joined.count))
          return (joined.isEmpty ? position[node]! : mean, node)
        }
        // Ties turn over now and then, to leave a bad order.
        order[row] = weight.sorted { $0.0 != $1.0 ? $0.0 < $1.0 : ($0.1 < $1.1) == (sweep % 8 < 4) }.map(\.1)
      }
      let count = crossings(nodes, order)
      if count < fewest { (best, fewest) = (order, count) }
    }
    return best
  }

  private static func crossings(_ nodes: [Node], _ order: [[Int]]) -> Int {
    var position: [Int: Int] = [:]
    for line in order { for (at, node) in line.enumerated() { position[node] = at } }
    var count = 0
    for line in order {
      let pairs = line.flatMap { node in
        nodes[node].neighbors.filter { nodes[$0].row < nodes[node].row }
          .map { (position[node]!, position[$0]!) }
      }
      for (at, one) in pairs.enumerated() {
        for other in pairs[(at + 1)...] where (one.0 - other.0) * (one.1 - other.1) < 0 { count += 1 }
      }
    }
    return count
  }

  /// Draws nodes to the mean of their neighbors, row after row, without changing the order or overlapping.
  private static func place(_ nodes: inout [Node], order: [[Int]]) {
    let gap = 16.0
    for line in order {
      var x = 0.0
      for node in line {
        nodes[node].center = x + nodes[node].width / 2
        x += nodes[node].width + gap
      }
      for node in line { nodes[node].center -= x / 2 }
    }
    for sweep in 0..<80 {
      for line in sweep.isMultiple(of: 2) ? order : order.reversed() {
        let wanted = line.map { node -> Double in
          let joined = nodes[node].neighbors.map { nodes[$0].center }
          // Boxes are drawn to the middle, too; the points of an arrow are not, so that it goes straight.
          return joined.reduce(0, +) / (Double(joined.count) + (nodes[node].width > 8 ? 0.4 : 0))
        }
        // Least squares under an order: offsets make it a plain monotone regression, by pooling neighbors.
        var offset = [0.0]
        for (one, other) in zip(line, line.dropFirst()) {
          offset.append(offset.last! + (nodes[one].width + nodes[other].width) / 2 + gap)
        }
        var pools: [(sum: Double, count: Int)] = []
        for (at, value) in wanted.enumerated() {
          pools.append((value - offset[at], 1))
          while pools.count > 1,
            pools[pools.count - 2].sum / Double(pools[pools.count - 2].count)
              > pools[pools.count - 1].sum / Double(pools[pools.count - 1].count)
          {
            let last = pools.removeLast()
            pools[pools.count - 1].sum += last.sum
            pools[pools.count - 1].count += last.count
          }
        }
        var at = 0
        for pool in pools {
          for _ in 0..<pool.count {
            nodes[line[at]].center = pool.sum / Double(pool.count) + offset[at]
            at += 1
          }
        }
      }
    }
  }
}
