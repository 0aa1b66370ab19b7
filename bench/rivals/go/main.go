package main

import (
	"context"
	"encoding/json"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	if os.Getenv("BENCH_ECHO") != "" {
		lambda.Start(func(_ context.Context, event json.RawMessage) (any, error) {
			var value any
			err := json.Unmarshal(event, &value)
			return value, err
		})
	}
	lambda.Start(func(_ context.Context, event any) (map[string]any, error) {
		return map[string]any{"statusCode": 200, "body": "ok"}, nil
	})
}
