import Evaluation
import Tensors
import Testing

@Suite struct ClassificationScoreTests {
  @Test func scoresCountRanksAndTies() {
    var score = ClassificationScore()
    score.add(Tensor([1, 3, 2, 0, -1, -2, 9, 9, 8, 7, 6, 5], shape: [2, 6]), labels: [5, 1])
    #expect(score.images == 2 && score.first == 0 && score.amongFive == 1)
    score.add(Tensor([9, 9, 8, 7, 6, .nan], shape: [1, 6]), labels: [0])
    #expect(score.first == 0)
    var sure = ClassificationScore()
    sure.add(Tensor([0, 0, 0, 0], shape: [1, 4]), labels: [0])
    #expect(sure.top1 == 1 && abs(sure.loss - 1.3862943611) < 1e-9)
  }
}
