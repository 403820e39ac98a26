// swift-tools-version: 6.2
import PackageDescription

// Built by tools/fuzz with libFuzzer and the address sanitizer. One program; FUZZ_TARGET chooses the parser.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "repo", path: "..")],
    targets: [
        .executableTarget(
            name: "FuzzTargets",
            dependencies: [
                .product(name: "BlobEngine", package: "repo"), .product(name: "Repository", package: "repo"),
                .product(name: "PostgresFormats", package: "repo"), .product(name: "WALArchive", package: "repo"),
                .product(name: "StorageRemote", package: "repo"), .product(name: "RepoCLI", package: "repo"),
                .product(name: "NumbersTesting", package: "repo"), .product(name: "PostgresTesting", package: "repo"),
            ],
            swiftSettings: [.unsafeFlags(["-parse-as-library"])],
            // Which coverage a target is guided by: CoverageScope.
            linkerSettings: [
                .unsafeFlags([
                    "-Xlinker", "--wrap=__sanitizer_cov_8bit_counters_init", "-Xlinker", "--wrap=__sanitizer_cov_pcs_init",
                ])
            ])
    ]
)
