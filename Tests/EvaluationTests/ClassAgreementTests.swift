import Evaluation
import Terminal
import Testing

/// What is said of classes that are others.
@Suite struct ClassAgreementTests {
  private static let animals = ["ant", "bee", "cat", "dog", "eel"]

  @Test(arguments: [
    (
      ["ant", "cat", "bee", "dog", "eel"],
      "the same 5 in another order; class 1 is 'cat', expected 'bee', class 2 is 'bee', expected 'cat' (counted from 0)"
    ),
    (["ant", "bee", "cat", "dog"], "4, expected 5; class 4 is not there, expected 'eel' (counted from 0)"),
    (animals + ["fox"], "6, expected 5; class 5 is 'fox', expected none (counted from 0)"),
    (
      ["ant", "bee", "cow", "dog", "eel"],
      "1 of 5 have other names; class 2 is 'cow', expected 'cat' (counted from 0)"
    ),
    (
      ["bee", "cat", "dog", "eel", "fox"],
      "5 of 5 have other names; class 0 is 'bee', expected 'ant', class 1 is 'cat', expected 'bee', class 2 is 'dog', "
        + "expected 'cat', and 2 more differ (counted from 0)"
    ),
  ])
  func theFirstDifferencesAreNamed(_ found: [String], _ words: String) throws {
    let error = try #require(throws: RunError.self) {
      try ClassAgreement.require(found, of: "a.h5", as: Self.animals, of: "b.h5")
    }
    #expect("\(error)" == "a.h5 has other classes than b.h5: " + words)
  }

  @Test func theSameAreTheSame() throws {
    try ClassAgreement.require(Self.animals, of: "a.h5", as: Self.animals, of: "b.h5")
    try ClassAgreement.require([], of: "a.h5", as: [], of: "b.h5")
  }
}
