"""What matters, and by how much."""

from codesign.sensitivity.elasticities import elasticities as elasticities
from codesign.sensitivity.elasticities import exchange_rate as exchange_rate
