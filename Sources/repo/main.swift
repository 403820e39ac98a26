import RepoCLI

RepoProgram.main()
