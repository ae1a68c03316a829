import Imaging
import Testing
import Visualization

@Suite struct CurveFigureTests {
  @Test func bearsWhatRunsBring() throws {
    let panel: ([Double]) -> CurveFigure = { values in
      CurveFigure(panels: [
        .init(
          title: "loss",
          curves: [.init(name: "é", points: values.enumerated().map { (Double($0.offset), $0.element) })])
      ])
    }
    for values in [
      [], [1], [.nan], [1, .nan, 3, .infinity], [0, 0, 0], [1e308, -1e308], [1e-300, 0], [7, 7.0000000001],
      Array(repeating: 1e18, count: 300),
    ] as [[Double]] {
      #expect(panel(values).image(width: 10, panelHeight: 10).pixels.contains { $0 != 255 })
    }
    #expect(!CurveFigure(panels: []).image().pixels.contains { $0 != 255 })
  }
}
