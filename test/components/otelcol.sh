# The OpenTelemetry Collector with the parts that deploy/otel-collector and the tests use: about 9 CPU minutes.
VERSION=0.155.0

build() {
	local core=go.opentelemetry.io/collector v=v$VERSION stable=v1.61.0
	local contrib=github.com/open-telemetry/opentelemetry-collector-contrib
	cat >builder.yaml <<-YAML
		dist: {name: otelcol, output_path: $WORK/src, version: $VERSION, description: the tests' Collector}
		receivers:
		  - gomod: $core/receiver/otlpreceiver $v
		processors:
		  - gomod: $core/processor/memorylimiterprocessor $v
		  - gomod: $core/processor/batchprocessor $v
		  - gomod: $contrib/processor/k8sattributesprocessor $v
		  - gomod: $contrib/processor/resourceprocessor $v
		  - gomod: $contrib/processor/transformprocessor $v
		  - gomod: $contrib/processor/filterprocessor $v
		  - gomod: $contrib/processor/tailsamplingprocessor $v
		exporters:
		  - gomod: $core/exporter/otlpexporter $v
		  - gomod: $core/exporter/otlphttpexporter $v
		  - gomod: $core/exporter/debugexporter $v
		  - gomod: $contrib/exporter/fileexporter $v
		  - gomod: $contrib/exporter/prometheusexporter $v
		  - gomod: $contrib/exporter/prometheusremotewriteexporter $v
		connectors:
		  - gomod: $contrib/connector/spanmetricsconnector $v
		extensions:
		  - gomod: $contrib/extension/healthcheckextension $v
	YAML
	mkdir src
	# The builder's own `go mod tidy` asks for modules that only other modules' tests need, which not every
	# proxy serves. So it only writes the sources, and `go build` resolves what the program itself needs.
	GOFLAGS=-buildvcs=false go run $core/cmd/builder@$v --config builder.yaml --skip-get-modules --skip-compilation
	{
		echo "module go.opentelemetry.io/collector/cmd/builder"
		echo "go 1.25.0"
		echo "require ("
		sed -n 's/.*gomod: //p' builder.yaml
		echo "$core/otelcol $v"
		for provider in env file http https yaml; do echo "$core/confmap/provider/${provider}provider $stable"; done
		echo ")"
	} >src/go.mod
	cd src
	go build -trimpath -ldflags="-s -w" -o "$OUT" .
}
