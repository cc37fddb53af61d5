"""Hardware priors: devices and technologies as facts with source, date and range."""

from hardware_priors.assemblies import assembly as assembly
from hardware_priors.assemblies import assembly_spread as assembly_spread
from hardware_priors.choices import technology_names as technology_names
from hardware_priors.devices import Device as Device
from hardware_priors.devices import device as device
from hardware_priors.devices import device_names as device_names
from hardware_priors.prior import Prior as Prior
from hardware_priors.quantities import formatted as formatted
from hardware_priors.quantities import parse as parse
from hardware_priors.sampling import growth_priors as growth_priors
from hardware_priors.sampling import projected as projected
from hardware_priors.sampling import sample_technologies as sample_technologies
from hardware_priors.technologies import technology as technology
from hardware_priors.technologies import technology_of as technology_of
from hardware_priors.technologies import technology_priors as technology_priors
from hardware_priors.technologies import unsourced as unsourced
