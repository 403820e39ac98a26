// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// Chunking, hashing and coding run over every byte, so they are optimised in debug builds too:
/// tests on real data then take seconds, not minutes.
let hot: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let package = Package(
    name: "repo",
    products: [
        .executable(name: "repo", targets: ["repo"]),
        .library(name: "BlobEngine", targets: ["BlobEngine", "RepoBase"]),
        .library(name: "Repository", targets: ["Repository", "Ingest", "Storage", "Policy"]),
        .library(name: "PostgresFormats", targets: ["PostgresFormats"]),
        .library(name: "WALArchive", targets: ["WALArchive"]),
        .library(name: "StorageRemote", targets: ["StorageRemote"]),
        .library(name: "RepoCLI", targets: ["RepoCLI"]),
        .library(name: "NumbersTesting", targets: ["NumbersTesting"]),
        .library(name: "PostgresTesting", targets: ["PostgresTesting"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
    ],
    targets: [
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CB2", pkgConfig: "libb2", providers: [.apt(["libb2-dev"])]),
        .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "CBlake2Lanes", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "CChecksums", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "CPQ"),
        .target(name: "CCurl"),

        .target(name: "RepoBase", dependencies: ["CLinux"], swiftSettings: hot),
        .target(
            name: "BlobEngine",
            dependencies: ["RepoBase", "CBlake2Lanes", "CB2", "CISAL", "CZstd", "CLibcrypto", "CLinux"],
            swiftSettings: hot),
        .target(name: "Storage", dependencies: ["RepoBase", "CLinux"], swiftSettings: strict),
        .target(
            name: "StorageRemote", dependencies: ["Storage", "RepoBase", "CCurl", "CLibcrypto", "CChecksums"], swiftSettings: hot),
        .target(name: "Policy", dependencies: ["RepoBase"], swiftSettings: strict),
        .target(
            name: "Repository", dependencies: ["RepoBase", "BlobEngine", "Storage", "Policy", "CChecksums", "CLinux"],
            swiftSettings: strict),
        .target(name: "PostgresFormats", dependencies: ["RepoBase", "CChecksums"], swiftSettings: hot),
        .target(
            name: "PostgresClient", dependencies: ["RepoBase", "PostgresFormats", "CPQ"], swiftSettings: strict),
        .target(
            name: "Ingest",
            dependencies: ["RepoBase", "BlobEngine", "Repository", "PostgresFormats", "PostgresClient", "CLinux"],
            swiftSettings: strict),
        .target(
            name: "WALArchive",
            dependencies: [
                "RepoBase", "BlobEngine", "Storage", "Repository", "PostgresFormats", "PostgresClient", "Policy", "CLinux",
            ],
            swiftSettings: strict),
        .target(
            name: "Recovery",
            dependencies: [
                "RepoBase", "Storage", "Repository", "Ingest", "PostgresFormats", "PostgresClient", "WALArchive", "Policy", "CLinux",
            ],
            swiftSettings: strict),
        .target(
            name: "RepoCLI",
            dependencies: [
                "RepoBase", "BlobEngine", "Storage", "StorageRemote", "Repository", "Ingest", "Policy", "CLinux",
                "PostgresFormats", "PostgresClient", "WALArchive", "Recovery",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict),
        .executableTarget(name: "repo", dependencies: ["RepoCLI"], swiftSettings: strict),
        .target(name: "NumbersTesting", swiftSettings: hot),
        .target(name: "StorageTesting", dependencies: ["NumbersTesting", "Storage", "StorageRemote", "RepoBase", "CLinux"], swiftSettings: strict),
        .target(name: "RepositoryTesting", dependencies: ["NumbersTesting", "Repository", "BlobEngine", "RepoBase"], swiftSettings: strict),
        .target(
            name: "SimulationTesting",
            dependencies: [
                "NumbersTesting", "RepositoryTesting", "StorageTesting", "Repository", "WALArchive", "PostgresFormats", "BlobEngine", "Storage",
                "RepoBase",
            ],
            swiftSettings: strict),
        .executableTarget(name: "simulation", dependencies: ["SimulationTesting"], path: "Sources/SimulationProgram", swiftSettings: strict),
        .target(name: "PostgresTesting", dependencies: ["RepoBase", "PostgresFormats"], swiftSettings: strict),

        .testTarget(name: "RepoBaseTests", dependencies: ["RepoBase"]),
        .testTarget(name: "BlobEngineTests", dependencies: ["NumbersTesting", "BlobEngine", "RepoBase", "CBlake2Lanes", "CB2", "CISAL"]),
        .testTarget(name: "StorageTests", dependencies: ["Storage", "StorageTesting", "RepoBase"]),
        .testTarget(
            name: "StorageRemoteTests", dependencies: ["NumbersTesting", "StorageRemote", "Storage", "StorageTesting", "RepoBase", "CLibcrypto", "CLinux"]),
        .testTarget(name: "RepositoryTests",
            dependencies: ["NumbersTesting", "Repository", "RepositoryTesting", "BlobEngine", "Storage", "StorageTesting", "RepoBase", "Policy"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "SimulationTests", dependencies: ["SimulationTesting", "RepositoryTesting", "Storage", "RepoBase"]),
        .testTarget(
            name: "PostgresFormatsTests", dependencies: ["PostgresFormats", "PostgresTesting", "RepoBase", "CChecksums"]),
        .testTarget(name: "PostgresClientTests", dependencies: ["PostgresClient", "PostgresFormats", "PostgresTesting", "RepoBase"]),
        .testTarget(
            name: "IngestTests",
            dependencies: ["NumbersTesting", "Ingest", "Repository", "StorageTesting", "PostgresFormats", "PostgresClient", "PostgresTesting", "CLinux"]),
        .testTarget(
            name: "WALArchiveTests",
            dependencies: ["NumbersTesting", "WALArchive", "Ingest", "Repository", "StorageTesting", "PostgresFormats", "PostgresTesting", "RepoBase", "Storage"]),
        .testTarget(
            name: "RecoveryTests",
            dependencies: ["NumbersTesting", "Recovery", "WALArchive", "Ingest", "Repository", "StorageTesting", "PostgresFormats", "PostgresTesting", "RepoBase"]),
        .testTarget(
            name: "PolicyTests", dependencies: ["NumbersTesting", "Policy"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "RepoCLITests", dependencies: ["NumbersTesting", "RepoCLI", "Recovery", "Repository", "PostgresClient", "Policy", "RepoBase", "PostgresTesting", "StorageTesting"],
            exclude: ["Golden"]),
    ]
)
