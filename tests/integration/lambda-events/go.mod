// AWS's own sample events, from its library for Go, pinned: no code of ours, and none of it is compiled; just what
// `./dev test` copies into build/tools.
module lambda-events-for-the-tests

go 1.19

require github.com/aws/aws-lambda-go v1.55.1
