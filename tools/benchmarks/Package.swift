// swift-tools-version: 6.2
import PackageDescription

// Run with: swift package --package-path tools/benchmarks -c release benchmark
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v13)],
    dependencies: [
        .package(name: "repo", path: "../.."),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "Engine",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "BlobEngine", package: "repo"),
            ],
            path: "Benchmarks/Engine",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        // What `tools/bench index` measures the program on.
        .executableTarget(
            name: "large-index",
            dependencies: [
                .product(name: "BlobEngine", package: "repo"),
                .product(name: "Repository", package: "repo"),
                .product(name: "NumbersTesting", package: "repo"),
            ],
            path: "Benchmarks/LargeIndex"),
    ]
)
