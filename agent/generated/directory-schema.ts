// Generated from agent/directory/directory.proto by scripts/generate-directory.ts: run `npm run generate`.
export const DIRECTORY: object = {
  "nested": {
    "flowspan": {
      "nested": {
        "directory": {
          "nested": {
            "v1": {
              "nested": {
                "Directory": {
                  "methods": {
                    "Follow": {
                      "requestType": "Ask",
                      "requestStream": true,
                      "responseType": "Answers",
                      "responseStream": true
                    }
                  }
                },
                "Ask": {
                  "fields": {
                    "node": {
                      "type": "string",
                      "id": 1
                    },
                    "add": {
                      "rule": "repeated",
                      "type": "Key",
                      "id": 2
                    },
                    "remove": {
                      "rule": "repeated",
                      "type": "Key",
                      "id": 3
                    }
                  }
                },
                "Key": {
                  "fields": {
                    "address": {
                      "type": "string",
                      "id": 1
                    },
                    "port": {
                      "type": "uint32",
                      "id": 2
                    }
                  }
                },
                "Answers": {
                  "fields": {
                    "cluster": {
                      "type": "Cluster",
                      "id": 1
                    },
                    "answers": {
                      "rule": "repeated",
                      "type": "Answer",
                      "id": 2
                    },
                    "ageMs": {
                      "type": "uint64",
                      "id": 3
                    }
                  }
                },
                "Cluster": {
                  "oneofs": {
                    "_appLabels": {
                      "oneof": [
                        "appLabels"
                      ]
                    },
                    "_listedAgeMs": {
                      "oneof": [
                        "listedAgeMs"
                      ]
                    }
                  },
                  "fields": {
                    "uid": {
                      "type": "string",
                      "id": 1
                    },
                    "node": {
                      "type": "Node",
                      "id": 2
                    },
                    "replica": {
                      "type": "string",
                      "id": 3
                    },
                    "appLabels": {
                      "type": "bool",
                      "id": 4,
                      "options": {
                        "proto3_optional": true
                      }
                    },
                    "listedAgeMs": {
                      "type": "uint64",
                      "id": 5,
                      "options": {
                        "proto3_optional": true
                      }
                    }
                  }
                },
                "Answer": {
                  "oneofs": {
                    "_forgottenAgeMs": {
                      "oneof": [
                        "forgottenAgeMs"
                      ]
                    }
                  },
                  "fields": {
                    "key": {
                      "type": "Key",
                      "id": 1
                    },
                    "intervals": {
                      "rule": "repeated",
                      "type": "Interval",
                      "id": 2
                    },
                    "atPort": {
                      "type": "Service",
                      "id": 3
                    },
                    "range": {
                      "type": "Node",
                      "id": 4
                    },
                    "forgottenAgeMs": {
                      "type": "uint64",
                      "id": 5,
                      "options": {
                        "proto3_optional": true
                      }
                    },
                    "atPortByEndpoint": {
                      "type": "bool",
                      "id": 6
                    }
                  }
                },
                "Interval": {
                  "oneofs": {
                    "_untilAgeMs": {
                      "oneof": [
                        "untilAgeMs"
                      ]
                    },
                    "owner": {
                      "oneof": [
                        "pod",
                        "service",
                        "node"
                      ]
                    }
                  },
                  "fields": {
                    "fromAgeMs": {
                      "type": "uint64",
                      "id": 1
                    },
                    "untilAgeMs": {
                      "type": "uint64",
                      "id": 2,
                      "options": {
                        "proto3_optional": true
                      }
                    },
                    "pod": {
                      "type": "Pod",
                      "id": 3
                    },
                    "service": {
                      "type": "Service",
                      "id": 4
                    },
                    "node": {
                      "type": "Node",
                      "id": 5
                    }
                  }
                },
                "ServiceName": {
                  "fields": {
                    "name": {
                      "type": "string",
                      "id": 1
                    },
                    "namespace": {
                      "type": "string",
                      "id": 2
                    }
                  }
                },
                "Pod": {
                  "fields": {
                    "uid": {
                      "type": "string",
                      "id": 1
                    },
                    "name": {
                      "type": "string",
                      "id": 2
                    },
                    "namespace": {
                      "type": "string",
                      "id": 3
                    },
                    "node": {
                      "type": "Node",
                      "id": 4
                    },
                    "addresses": {
                      "rule": "repeated",
                      "type": "string",
                      "id": 5
                    },
                    "createdUnixMs": {
                      "type": "uint64",
                      "id": 6
                    },
                    "service": {
                      "type": "ServiceName",
                      "id": 7
                    },
                    "terminating": {
                      "type": "bool",
                      "id": 8
                    }
                  }
                },
                "Service": {
                  "oneofs": {
                    "_replacedAgeMs": {
                      "oneof": [
                        "replacedAgeMs"
                      ]
                    }
                  },
                  "fields": {
                    "uid": {
                      "type": "string",
                      "id": 1
                    },
                    "name": {
                      "type": "string",
                      "id": 2
                    },
                    "namespace": {
                      "type": "string",
                      "id": 3
                    },
                    "clusterAddresses": {
                      "rule": "repeated",
                      "type": "string",
                      "id": 4
                    },
                    "createdUnixMs": {
                      "type": "uint64",
                      "id": 5
                    },
                    "goesBy": {
                      "type": "ServiceName",
                      "id": 6
                    },
                    "zone": {
                      "type": "string",
                      "id": 7
                    },
                    "replacedAgeMs": {
                      "type": "uint64",
                      "id": 8,
                      "options": {
                        "proto3_optional": true
                      }
                    },
                    "node": {
                      "type": "string",
                      "id": 9
                    }
                  }
                },
                "Node": {
                  "fields": {
                    "uid": {
                      "type": "string",
                      "id": 1
                    },
                    "name": {
                      "type": "string",
                      "id": 2
                    },
                    "addresses": {
                      "rule": "repeated",
                      "type": "string",
                      "id": 3
                    },
                    "podCidrs": {
                      "rule": "repeated",
                      "type": "string",
                      "id": 4
                    },
                    "zone": {
                      "type": "string",
                      "id": 5
                    },
                    "region": {
                      "type": "string",
                      "id": 6
                    },
                    "createdUnixMs": {
                      "type": "uint64",
                      "id": 7
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }
};
