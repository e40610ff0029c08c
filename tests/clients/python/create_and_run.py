"""Create and Run, wait, labels: by the client that openapi-python-client makes of openapi/openapi.json.

    create_and_run.py BASE KEY BODY

BODY is the file with an integration. Ends with the number of labels, or with what is not as promised.
"""

import json
import sys
import time
from pathlib import Path

from wiz_context_client import AuthenticatedClient
from wiz_context_client.api.integrations import create_integration, delete_integration, read_status
from wiz_context_client.api.labels import list_labels
from wiz_context_client.api.runs import read_run
from wiz_context_client.models import IntegrationBody, LabelRecordView, Problem, RunState

ENDED = {RunState.SUCCEEDED, RunState.HELD, RunState.FAILED, RunState.CANCELLED}


def main():
    base, key, body = sys.argv[1:]
    client = AuthenticatedClient(base_url=base, token=key, raise_on_unexpected_status=True, timeout=60)
    integration = IntegrationBody.from_dict(json.loads(Path(body).read_text()) | {"name": "python"})

    refused = create_integration.sync(client=AuthenticatedClient(base_url=base, token="wrong"), body=integration)
    assert isinstance(refused, Problem) and refused.name == "unauthorized", refused

    created = create_integration.sync(client=client, body=integration, run=True)
    assert not isinstance(created, Problem), created
    integration_id, run_id = created.data[0].id, created.run.id
    for _ in range(600):
        run = read_run.sync(run_id, client=client).data
        if run.state in ENDED:
            break
        time.sleep(0.1)
    assert run.state == RunState.SUCCEEDED, run

    status = read_status.sync(integration_id, client=client).data
    labels, cursor = [], None
    while True:
        page = list_labels.sync(integration_id, client=client, limit=50, **({"cursor": cursor} if cursor else {}))
        assert all(isinstance(label, LabelRecordView) for label in page.data)
        labels += page.data
        cursor = page.meta.next_ or None
        if not cursor:
            break
    assert len(labels) == status.pairs > 0, (len(labels), status.pairs)
    assert len({(label.ip, label.context) for label in labels}) == len(labels)
    delete_integration.sync_detailed(integration_id, client=client)
    print(f"python: {len(labels)} labels by a generated client")


main()
