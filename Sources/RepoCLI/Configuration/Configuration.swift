/// What the configuration file says.
struct Configuration: Equatable {
    var repository = ConfiguredRepository()
}

/// `[repository]`: where it is and how it is unlocked, for want of options and environment variables.
struct ConfiguredRepository: Equatable {
    var url: String?
    var passwordFile: String?
    var passwordCommand: String?
    var keyFile: String?
}
