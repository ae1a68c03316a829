// swift-tools-version: 6.0
import PackageDescription

// The floors of the house, from the ground up; docs/design.md says what lives on each, and docs/modules.svg is drawn
// from here. A target depends only on targets declared above it, on its own floor or below.

let optimized: [CSetting] = [
  // Vector loops want -O3 and the freedom to reorder sums; infinities and NaNs keep their meaning.
  .unsafeFlags([
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math",
    "-ffp-contract=fast", "-mprefer-vector-width=512",
  ])
]

// Checked for data races; and a file sees only the members of modules that it imports itself.
let strict: [SwiftSetting] = [.swiftLanguageMode(.v6), .enableUpcomingFeature("MemberImportVisibility")]

let package = Package(
  name: "PeCo",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "peco", targets: ["peco"]),
    // For other packages; they depend on a path, a branch or a revision, for CKernels has flags that SwiftPM does not
    // allow below a version.
    .library(name: "PeCoTrainer", targets: ["PeCoTrainer"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    // Floor 0: C, and what knows nothing of anything
    .systemLibrary(name: "CMPI", path: "Sources/C/CMPI", pkgConfig: "ompi-c"),
    .systemLibrary(name: "CHDF5", path: "Sources/C/CHDF5", pkgConfig: "hdf5-serial"),
    .systemLibrary(name: "COpenBLAS", path: "Sources/C/COpenBLAS", pkgConfig: "openblas"),
    .target(
      name: "COneDNN", path: "Sources/C/COneDNN", linkerSettings: [.linkedLibrary("dnnl")]),
    .target(name: "CJPEG", path: "Sources/C/CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
    .target(name: "CFileIO", path: "Sources/C/CFileIO", linkerSettings: [.linkedLibrary("z")]),
    .target(name: "CPNG", path: "Sources/C/CPNG", linkerSettings: [.linkedLibrary("png16")]),
    .target(name: "CKernels", path: "Sources/C/CKernels", cSettings: optimized),
    .target(name: "Threads", swiftSettings: strict),
    .target(name: "Hashing", swiftSettings: strict),

    // Floor 1: the world outside
    .target(
      name: "Communication", dependencies: ["CMPI", "Hashing", "Threads"], swiftSettings: strict),
    .target(
      name: "Storage", dependencies: ["CHDF5", "CFileIO", "Threads"], swiftSettings: strict),
    .target(
      name: "Imaging", dependencies: ["CJPEG", "CPNG", "CKernels"], swiftSettings: strict),

    .target(
      name: "Terminal", dependencies: ["Threads", .product(name: "Logging", package: "swift-log")]),
    .target(name: "Visualization", dependencies: ["Imaging"]),

    // Floor 2: tensors
    .target(name: "Tensors", dependencies: ["CKernels", "Hashing", "Threads"]),
    .target(name: "Operations", dependencies: ["Tensors", "CKernels", "COpenBLAS", "COneDNN"]),
    .target(name: "Layers", dependencies: ["Operations", "Tensors"]),

    // Floor 3: models and data
    .target(
      name: "Datasets", dependencies: ["Operations", "Tensors", "Storage", "Imaging", "Threads"],
      swiftSettings: strict),
    .target(
      name: "Preparation", dependencies: ["Datasets", "Tensors", "Storage", "Imaging", "CFileIO", "Threads"],
      swiftSettings: strict),
    .target(name: "Models", dependencies: ["Tensors", "Layers", "Operations"]),

    // Floor 4: training
    .target(
      name: "Configuration",
      dependencies: ["Models", "Datasets", "Imaging", "Layers", "Operations", "Tensors", "Terminal", "Yams"]),
    .target(
      name: "Trainer",
      dependencies: [
        "Configuration", "Datasets", "Operations", "Tensors", "Communication", "Storage",
        "Terminal", "Visualization",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .target(
      name: "Interoperability",
      dependencies: [
        "Trainer", "Configuration", "Models", "Operations", "Imaging", "Tensors", "Communication", "Storage",
        "Terminal",
      ]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Interoperability", "Trainer", "Configuration", "Models", "Operations", "Datasets",
        "Tensors", "Communication",
        "Storage", "Terminal", .product(name: "Logging", package: "swift-log"),
      ]),

    // Floor 5: tasks, a folder each
    .target(
      name: "TaskSupport",
      dependencies: [
        "Evaluation", "Visualization", "Trainer", "Models", "Datasets", "Imaging",
        "Tensors", "Communication", "Storage", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Support"),
    .target(
      name: "TokenizerSupport",
      dependencies: [
        "Interoperability", "Trainer", "Configuration", "Models", "Layers", "Operations", "Tensors",
        "Communication", "Storage", "Terminal",
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/TokenizerSupport"),
    .target(
      name: "VQVAETraining",
      dependencies: [
        "TokenizerSupport", "Trainer", "Configuration", "Models", "Operations", "Datasets", "Tensors",
        "Communication", "Terminal",
      ], path: "Sources/Tasks/VQVAE"),
    .target(
      name: "DVAETraining",
      dependencies: [
        "TokenizerSupport", "Interoperability", "Trainer", "Configuration", "Models", "Layers", "Operations",
        "Datasets",
        "Tensors", "Communication", "Storage", "Terminal",
      ], path: "Sources/Tasks/DVAE"),
    .target(
      name: "Tokenizers",
      dependencies: [
        "Configuration",
        "VQVAETraining", "DVAETraining", "TokenizerSupport", "TaskSupport", "Evaluation", "Visualization",
        "Trainer", "Models", "Layers", "Operations", "Datasets", "Imaging", "Tensors", "Communication",
        "Storage", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Tokenizers"),
    .target(
      name: "MaskedImageModeling",
      dependencies: [
        "Tokenizers", "TaskSupport", "Evaluation", "Visualization",
        "Trainer", "Configuration", "Models", "Layers", "Operations", "Datasets", "Imaging", "Tensors",
        "Communication",
        "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/MaskedImageModeling"),
    .target(
      name: "MomentumContrastTraining",
      dependencies: [
        "Tokenizers", "TaskSupport", "Evaluation", "Trainer", "Configuration", "Models", "Datasets",
        "Tensors", "Communication", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/MomentumContrast"),
    .target(
      name: "Classification",
      dependencies: [
        "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Layers",
        "Operations",
        "Datasets", "Tensors", "Communication", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Classification"),
    .target(
      name: "Features",
      dependencies: [
        "Configuration",
        "TaskSupport", "Evaluation", "Visualization", "Models", "Datasets", "Imaging", "Tensors",
        "Communication", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Features"),
    .target(
      name: "Tasks",
      dependencies: [
        "Tokenizers", "MaskedImageModeling", "MomentumContrastTraining", "Classification", "Features",
        "TaskSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Registry"),

    // Floor 6: the command, and the library for other packages
    .target(
      name: "PeCoTrainer",
      dependencies: [
        "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Layers",
        "Operations", "Preparation", "Datasets", "Imaging", "Tensors", "Communication", "Terminal", "Threads",
      ], swiftSettings: strict),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Interoperability",
        "MaskedImageModeling", "VQVAETraining", "TokenizerSupport", "Trainer", "Configuration", "Models",
        "Layers", "Operations", "Datasets", "Tensors", "Communication",
        "Storage",
        "Terminal",
      ]),
    .executableTarget(
      name: "peco",
      dependencies: [
        "Models", "Layers", "Operations",
        "Benchmarks", "Tasks", "TaskSupport", "Preparation", "Interoperability", "Trainer",
        "Configuration",
        "Visualization",
        "Datasets",
        "Imaging", "Tensors", "Communication", "Terminal", "Threads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // The example, built here as well so that tests run it. It is a package of its own, and sees what others see.
    .executableTarget(
      name: "denoise",
      dependencies: ["PeCoTrainer", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Examples/Denoising/Sources/denoise", packageAccess: false, swiftSettings: strict),

    // Tests: a target a module, and what several of them share
    .target(
      name: "TestSupport", dependencies: ["Operations", "Tensors", "Storage"],
      path: "Tests/Support/TestSupport"),
    .target(
      name: "PublishedWeights", dependencies: ["Interoperability"], path: "Tests/Support/PublishedWeights"),
    .target(
      name: "FigureWorkshop",
      dependencies: [
        "MaskedImageModeling", "Tokenizers", "TokenizerSupport", "Visualization", "Trainer", "Configuration",
        "Models", "Layers", "Preparation", "Datasets", "Imaging", "Tensors", "Communication",
      ], path: "Tests/Support/FigureWorkshop"),
    .executableTarget(
      name: "communication-probe", dependencies: ["Communication"], path: "Tests/Support/CommunicationProbe"),
    .testTarget(name: "ArchitectureTests", swiftSettings: strict),
    .testTarget(name: "ThreadsTests", dependencies: ["Threads"]),
    .testTarget(name: "CommunicationTests", dependencies: ["Communication", "communication-probe"]),
    .testTarget(name: "StorageTests", dependencies: ["Storage"], exclude: ["Fixtures"]),
    .testTarget(name: "ImagingTests", dependencies: ["Imaging"], exclude: ["Fixtures"]),
    .testTarget(
      name: "TerminalTests", dependencies: ["Terminal", .product(name: "Logging", package: "swift-log")]),
    .testTarget(name: "VisualizationTests", dependencies: ["Visualization"]),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "Threads", "TestSupport"]),
    .testTarget(
      name: "OperationsTests", dependencies: ["Operations", "Tensors", "CKernels", "TestSupport"],
      exclude: ["Fixtures"]),
    .testTarget(name: "LayersTests", dependencies: ["Layers", "Operations", "Tensors", "TestSupport"]),
    .testTarget(
      name: "DatasetsTests",
      dependencies: [
        "Preparation", "Datasets", "Imaging", "Storage", "Layers", "Operations", "Tensors", "Threads",
        "TestSupport",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "ModelsTests", dependencies: ["Models", "Layers", "Operations", "Tensors", "TestSupport"],
      exclude: ["Fixtures"]),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration"]),
    .testTarget(
      name: "TrainerTests",
      dependencies: [
        "Trainer", "Configuration", "Models", "Visualization", "Datasets", "Imaging", "Tensors",
        "Communication", "Storage", "Terminal", "TestSupport",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "AddingATaskTests",
      dependencies: [
        "Trainer", "Configuration", "Models", "Layers", "Operations", "Preparation", "Datasets", "Tensors",
        "Communication",
        "Threads",
      ]),
    .testTarget(
      name: "InteroperabilityTests",
      dependencies: [
        "Interoperability", "TokenizerSupport", "Trainer", "Configuration", "Models", "Datasets", "Tensors",
        "Communication", "Storage", "Terminal", "TestSupport", "PublishedWeights",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Layers", "Operations",
        "Preparation", "Datasets", "Imaging", "Tensors", "Communication", "Storage", "Terminal",
        "TestSupport",
        "PublishedWeights",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "TokenizersTests",
      dependencies: [
        "Tokenizers", "DVAETraining", "TokenizerSupport", "Classification", "Evaluation", "Interoperability",
        "Trainer", "Configuration", "Models", "Layers", "Preparation", "Datasets", "Imaging", "Tensors",
        "Communication", "Storage", "Terminal", "TestSupport", "FigureWorkshop",
      ]),
    .testTarget(
      name: "MaskedImageModelingTests",
      dependencies: [
        "MaskedImageModeling", "Tokenizers", "Interoperability", "Models", "Layers", "Operations", "Datasets",
        "Imaging",
        "Tensors", "Communication", "Storage", "TestSupport", "FigureWorkshop",
      ]),
    .testTarget(
      name: "ClassificationTests",
      dependencies: [
        "Classification", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models",
        "Preparation", "Datasets", "Imaging", "Tensors", "Communication", "Storage", "Terminal",
        "TestSupport", "PublishedWeights",
      ]),
    .testTarget(
      name: "FeaturesTests",
      dependencies: [
        "Features", "Interoperability", "Models", "Datasets", "Tensors", "Communication", "TestSupport",
        "FigureWorkshop",
      ]),
    .testTarget(
      name: "TasksTests",
      dependencies: [
        "Classification", "MomentumContrastTraining", "MaskedImageModeling", "TokenizerSupport",
        "Configuration", "Models",
      ]),
    .testTarget(name: "EndToEndTests", dependencies: ["Storage", "peco", "denoise"]),
  ],
  swiftLanguageModes: [.v5],
  cxxLanguageStandard: .cxx17
)
