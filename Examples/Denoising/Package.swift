// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Denoising",
  platforms: [.macOS(.v15)],
  dependencies: [
    // Elsewhere: .package(url: "https://…/peco", branch: "main")
    .package(name: "PeCo", path: "../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
  ],
  targets: [
    .executableTarget(
      name: "denoise",
      dependencies: [
        .product(name: "PeCoTrainer", package: "PeCo"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ])
  ]
)
