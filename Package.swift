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
    .systemLibrary(name: "CXXHash", path: "Sources/C/CXXHash", pkgConfig: "libxxhash"),
    .systemLibrary(name: "COpenBLAS", path: "Sources/C/COpenBLAS", pkgConfig: "openblas"),
    .target(
      name: "COneDNN", path: "Sources/C/COneDNN", linkerSettings: [.linkedLibrary("dnnl")]),
    .target(name: "CJPEG", path: "Sources/C/CJPEG", linkerSettings: [.linkedLibrary("jpeg")]),
    .target(name: "CFileIO", path: "Sources/C/CFileIO"),
    .target(
      name: "CArchive", path: "Sources/C/CArchive", linkerSettings: [.linkedLibrary("archive")]),
    .target(name: "CPNG", path: "Sources/C/CPNG", linkerSettings: [.linkedLibrary("png16")]),
    .target(
      name: "CWebP", path: "Sources/C/CWebP",
      linkerSettings: [.linkedLibrary("webp"), .linkedLibrary("webpdemux")]),
    .target(name: "CKernels", path: "Sources/C/CKernels", cSettings: optimized),
    .target(name: "Threads"),
    .target(name: "Hashing", dependencies: ["CXXHash"]),

    // Floor 1: the world outside
    .target(name: "Communication", dependencies: ["Hashing", "Threads", "CKernels", "CMPI"]),
    .target(name: "Storage", dependencies: ["Hashing", "Threads", "CFileIO", "CHDF5"]),
    .target(name: "Imaging", dependencies: ["CKernels", "CWebP", "CPNG", "CJPEG"]),

    .target(name: "Terminal", dependencies: ["Threads", .product(name: "Logging", package: "swift-log")]),
    .target(name: "Visualization", dependencies: ["Imaging"]),

    // Floor 2: tensors
    .target(name: "Tensors", dependencies: ["Hashing", "Threads", "CKernels"]),
    .target(name: "Operations", dependencies: ["Tensors", "CKernels", "COneDNN", "COpenBLAS"]),
    .target(name: "ImageOperations", dependencies: ["Operations", "Tensors", "CKernels", "COneDNN"]),
    .target(name: "Layers", dependencies: ["ImageOperations", "Operations", "Tensors"]),

    // Floor 3: models and data
    .target(
      name: "Datasets",
      dependencies: ["ImageOperations", "Tensors", "Imaging", "Storage", "Hashing", "Threads"]),
    .target(
      name: "Preparation",
      dependencies: [
        "Datasets", "Tensors", "Imaging", "Storage", "Hashing", "Threads", "CArchive", "CFileIO",
      ]),
    .target(name: "Models", dependencies: ["Layers", "ImageOperations", "Operations", "Tensors"]),

    // Floor 4: training
    .target(
      name: "Configuration",
      dependencies: [
        "Models", "Datasets", "Layers", "Operations", "Tensors", "Terminal", "Imaging", "Storage", "Yams",
      ]),
    .target(
      name: "Trainer",
      dependencies: [
        "Configuration", "Datasets", "Operations", "Tensors", "Visualization", "Terminal", "Imaging",
        "Storage", "Communication", "Hashing", "Threads", .product(name: "Logging", package: "swift-log"),
      ]),
    .target(
      name: "Interoperability",
      dependencies: [
        "Trainer", "Configuration", "Models", "Layers", "Tensors", "Terminal", "Imaging", "Storage",
        "Communication", "Hashing",
      ]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Interoperability", "Trainer", "Configuration", "Models", "Datasets", "Layers", "Operations",
        "Tensors", "Terminal", "Communication", .product(name: "Logging", package: "swift-log"),
      ]),

    // Floor 5: tasks, a folder each
    .target(
      name: "TaskSupport",
      dependencies: [
        "Evaluation", "Trainer", "Configuration", "Models", "Datasets", "Tensors", "Visualization",
        "Terminal", "Imaging",
        "Storage", "Communication", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Support"),
    .target(
      name: "TokenizerSupport",
      dependencies: [
        "Interoperability", "Trainer", "Configuration", "Models", "Layers", "ImageOperations", "Operations",
        "Tensors", "Terminal", "Storage", "Communication", "Hashing",
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/TokenizerSupport"),
    .target(
      name: "VQVAETraining",
      dependencies: [
        "TokenizerSupport", "Trainer", "Configuration", "Models", "Datasets", "Layers", "Operations",
        "Tensors", "Terminal", "Communication",
      ], path: "Sources/Tasks/VQVAE"),
    .target(
      name: "DVAETraining",
      dependencies: [
        "TokenizerSupport", "Trainer", "Configuration", "Models", "Datasets", "Layers", "Operations",
        "Tensors", "Communication",
      ], path: "Sources/Tasks/DVAE"),
    .target(
      name: "Tokenizers",
      dependencies: [
        "DVAETraining", "VQVAETraining", "TokenizerSupport", "TaskSupport", "Evaluation", "Interoperability",
        "Trainer", "Configuration", "Models", "Datasets", "Layers", "Operations", "Tensors", "Visualization",
        "Terminal", "Imaging", "Storage", "Communication",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/Tokenizers"),
    .target(
      name: "MaskedImageModeling",
      dependencies: [
        "Tokenizers", "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models",
        "Datasets", "Layers", "ImageOperations", "Operations", "Tensors", "Visualization", "Terminal",
        "Imaging", "Communication", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/MaskedImageModeling"),
    .target(
      name: "MomentumContrastTraining",
      dependencies: [
        "TaskSupport", "Evaluation", "Trainer", "Configuration", "Models", "Datasets", "Layers", "Tensors",
        "Terminal", "Communication", "Threads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/MomentumContrast"),
    .target(
      name: "Classification",
      dependencies: [
        "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Datasets",
        "Layers", "Operations", "Tensors", "Terminal", "Communication", "Threads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/Classification"),
    .target(
      name: "Features",
      dependencies: [
        "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Datasets",
        "Layers", "Tensors", "Visualization", "Terminal", "Imaging", "Storage", "Communication",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ], path: "Sources/Tasks/Features"),
    .target(
      name: "Tasks",
      dependencies: [
        "Features", "Classification", "MomentumContrastTraining", "MaskedImageModeling", "Tokenizers",
        "TaskSupport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Sources/Tasks/Registry"),

    // Floor 6: the command, and the library for other packages
    .target(
      name: "PeCoTrainer",
      dependencies: [
        "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration", "Models", "Preparation",
        "Datasets", "Layers", "ImageOperations", "Operations", "Tensors", "Terminal", "Imaging",
        "Communication", "Threads",
      ]),
    .target(
      name: "Benchmarks",
      dependencies: [
        "Classification", "MaskedImageModeling", "Tokenizers", "VQVAETraining", "Interoperability", "Trainer",
        "Configuration", "Models", "Datasets", "Layers", "ImageOperations", "Operations", "Tensors",
        "Terminal", "Storage",
        "Communication",
      ]),
    .executableTarget(
      name: "peco",
      dependencies: [
        "Benchmarks", "Tasks", "TaskSupport", "Interoperability", "Storage", "Trainer", "Configuration",
        "Models",
        "Preparation", "Datasets", "Layers", "Operations", "Tensors", "Visualization", "Terminal", "Imaging",
        "Communication", "Threads", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // The example, built here as well so that tests run it. It is a package of its own, and sees what others see.
    .executableTarget(
      name: "denoise",
      dependencies: [
        "PeCoTrainer", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Examples/Denoising/Sources/denoise", packageAccess: false),

    // Tests: a target a module, and what several of them share
    .target(
      name: "TestSupport",
      dependencies: ["Datasets", "Operations", "Tensors", "Storage"], path: "Tests/Support/TestSupport"),
    .target(
      name: "PublishedWeights", dependencies: ["Interoperability"], path: "Tests/Support/PublishedWeights"),
    .target(
      name: "FigureWorkshop",
      dependencies: [
        "MaskedImageModeling", "Tokenizers", "VQVAETraining", "Trainer", "Configuration", "Models",
        "Preparation", "Datasets", "Layers", "Tensors", "Visualization", "Imaging", "Communication",
      ], path: "Tests/Support/FigureWorkshop"),
    .executableTarget(
      name: "communication-probe", dependencies: ["Communication"], path: "Tests/Support/CommunicationProbe"),
    .testTarget(name: "ArchitectureTests"),
    .testTarget(name: "ThreadsTests", dependencies: ["Threads"]),
    .testTarget(name: "HashingTests", dependencies: ["Hashing"]),
    .testTarget(name: "CommunicationTests", dependencies: ["communication-probe", "Communication"]),
    .testTarget(name: "StorageTests", dependencies: ["Storage"], exclude: ["Fixtures"]),
    .testTarget(name: "ImagingTests", dependencies: ["Imaging"], exclude: ["Fixtures"]),
    .testTarget(
      name: "TerminalTests", dependencies: ["Terminal", .product(name: "Logging", package: "swift-log")]),
    .testTarget(name: "VisualizationTests", dependencies: ["Visualization", "Imaging"]),
    .testTarget(name: "TensorsTests", dependencies: ["TestSupport", "Tensors", "Threads"]),
    .testTarget(
      name: "OperationsTests",
      dependencies: ["TestSupport", "Operations", "Tensors", "CKernels"], exclude: ["Fixtures"]),
    .testTarget(
      name: "ImageOperationsTests",
      dependencies: ["TestSupport", "ImageOperations", "Operations", "Tensors"]),
    .testTarget(
      name: "LayersTests",
      dependencies: ["TestSupport", "Layers", "ImageOperations", "Operations", "Tensors"]),
    .testTarget(
      name: "DatasetsTests",
      dependencies: [
        "TestSupport", "Preparation", "Datasets", "ImageOperations", "Operations", "Tensors", "Imaging",
        "Storage", "Threads",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "ModelsTests",
      dependencies: [
        "TestSupport", "Models", "Layers", "ImageOperations", "Operations", "Tensors",
      ], exclude: ["Fixtures"]),
    .testTarget(name: "ConfigurationTests", dependencies: ["Configuration"]),
    .testTarget(
      name: "TrainerTests",
      dependencies: [
        "TestSupport", "Trainer", "Configuration", "Models", "Datasets", "Layers", "Tensors", "Visualization",
        "Terminal", "Imaging", "Storage", "Communication",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "AddingATaskTests",
      dependencies: [
        "TaskSupport", "Trainer", "Configuration", "Models", "Preparation", "Datasets", "Operations",
        "Tensors", "Communication", "Threads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(
      name: "InteroperabilityTests",
      dependencies: [
        "PublishedWeights", "TestSupport", "Interoperability", "Trainer", "Configuration", "Models", "Layers",
        "Datasets", "Tensors", "Terminal", "Imaging", "Storage", "Communication",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "TestSupport", "Evaluation", "Operations", "Tensors", "Terminal", "Communication",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "TokenizersTests",
      dependencies: [
        "FigureWorkshop", "TestSupport", "Classification", "Tokenizers", "DVAETraining", "VQVAETraining",
        "TokenizerSupport", "TaskSupport", "Evaluation", "Interoperability", "Trainer", "Configuration",
        "Models", "Preparation", "Datasets", "Layers", "Operations", "Tensors", "Visualization", "Terminal",
        "Imaging", "Storage", "Communication",
      ]),
    .testTarget(
      name: "MaskedImageModelingTests",
      dependencies: [
        "FigureWorkshop", "TestSupport", "MaskedImageModeling", "Tokenizers", "TaskSupport",
        "Interoperability", "Trainer", "Configuration", "Models", "Datasets", "Operations", "Tensors",
        "Visualization", "Imaging", "Storage", "Communication",
      ]),
    .testTarget(
      name: "MomentumContrastTests",
      dependencies: [
        "TestSupport", "MomentumContrastTraining", "Trainer", "Configuration", "Models", "Datasets",
        "Tensors", "Terminal", "Communication",
      ]),
    .testTarget(
      name: "ClassificationTests",
      dependencies: [
        "PublishedWeights", "TestSupport", "Classification", "Evaluation", "Interoperability", "Trainer",
        "Configuration", "Models", "Preparation", "Tensors", "Terminal", "Imaging", "Communication",
      ]),
    .testTarget(
      name: "FeaturesTests",
      dependencies: [
        "FigureWorkshop", "PublishedWeights", "TestSupport", "Features", "TaskSupport", "Evaluation",
        "Interoperability", "Trainer", "Configuration", "Models", "Preparation", "Tensors", "Visualization",
        "Terminal", "Imaging", "Storage", "Communication",
      ], exclude: ["Fixtures"]),
    .testTarget(
      name: "TasksTests",
      dependencies: [
        "Tasks", "Classification", "MomentumContrastTraining", "MaskedImageModeling", "Tokenizers",
        "DVAETraining", "VQVAETraining", "TokenizerSupport", "Trainer", "Configuration", "Models",
      ]),
    .testTarget(name: "EndToEndTests", dependencies: ["denoise", "peco", "Storage"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

// A file sees only the members of modules that it imports itself.
for target in package.targets where target.type != .system && target.path?.hasPrefix("Sources/C/") != true {
  target.swiftSettings = (target.swiftSettings ?? []) + [.enableUpcomingFeature("MemberImportVisibility")]
}

// The program that fuzzes the parsers, which `launch/fuzz` alone builds.
if Context.environment["PECO_FUZZING"] != nil {
  package.targets.append(
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "Classification", "MomentumContrastTraining", "MaskedImageModeling", "Tokenizers", "Interoperability",
        "Trainer", "Configuration", "Models", "Preparation", "Datasets", "Imaging", "Storage", "Hashing",
        "CHDF5",
      ], path: "Tests/Fuzzing/Targets",
      swiftSettings: [.enableUpcomingFeature("MemberImportVisibility")]))
}
